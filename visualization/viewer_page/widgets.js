// What shows a video: its pictures and its timeline.
"use strict";

/** A canvas with one frame of a video. */
class Picture {
  #shown = null;

  constructor(canvas, sheets) {
    this.canvas = canvas;
    this.sheets = sheets;
    this.context = canvas.getContext("2d", { alpha: false });
  }

  /** Show a frame; while its sheet is decoded, the one before stays. */
  show(video, frame) {
    const wanted = `${video.index}-${frame}`;
    if (this.#shown === wanted) return;
    const sprite = this.sheets.get(video, frame);
    if (!sprite) return;
    const { width, height } = video;
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const { bitmap, x, y } = sprite;
    this.context.drawImage(bitmap, x, y, width, height, 0, 0, width, height);
    this.canvas.dataset.frame = frame;
    this.#shown = wanted;
  }
}

/** A slider over the frames of a video, with what is known of each. */
class Timeline {
  /** `seek` is called with a video and the frame to go to. */
  constructor(element, seek) {
    this.element = element;
    this.canvas = element.appendChild(document.createElement("canvas"));
    this.playhead = element.appendChild(document.createElement("span"));
    this.playhead.className = "playhead";
    element.role = "slider";
    element.tabIndex = 0;
    onDrag(element, (share) => {
      seek(this.video, Math.floor(share * this.video.length));
    });
  }

  setVideo(video) {
    this.video = video;
    this.isDrawn = false;
    this.element.dataset.video = video.index;
    this.element.ariaLabel = `Time of ${video.name}`;
    this.element.ariaValueMin = 0;
    this.element.ariaValueMax = video.length - 1;
  }

  show(frame, { phases, threshold }) {
    const { element, video } = this;
    if (!this.isDrawn) drawTimeline(this.canvas, video, phases, threshold);
    this.isDrawn = true;
    const at = (frame + 0.5) / video.length;
    this.playhead.style.setProperty("--at", at);
    const parts = [video.moment(frame), video.phase(frame, phases)];
    if (video.distances[frame] > threshold) parts.push("unusual");
    element.ariaValueNow = frame;
    element.ariaValueText = parts.filter(Boolean).join(", ");
  }
}

/** Call `move` with where a pointer is dragged, [0, 1) to the right and up. */
function onDrag(element, move) {
  const limit = (share) => Math.min(Math.max(share, 0), 1 - 1e-9);
  const handle = ({ clientX, clientY }) => {
    const { left, bottom, width, height } = element.getBoundingClientRect();
    move(limit((clientX - left) / width), limit((bottom - clientY) / height));
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    element.setPointerCapture(event.pointerId);
    handle(event);
  });
  element.addEventListener("pointermove", (event) => {
    if (element.hasPointerCapture(event.pointerId)) handle(event);
  });
}
