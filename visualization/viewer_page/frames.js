// The videos of the page: what is known of each frame, and its picture.
"use strict";

// Pace of videos whose times are not known.
const FRAMES_A_SECOND = 20;

/** Decode the base64 of one of the page's blocks of data. */
function readBytes(id) {
  const text = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** One video. `facts` are those that visualization/viewer.py writes. */
class Video {
  #embeddings = null;

  constructor(facts, index) {
    Object.assign(this, facts);
    this.index = index;
    this.length = facts.distances.length;
    this.isPhased = facts.labels !== null;
  }

  /** {values, length, dimensions}, decoded when they are first used. */
  get embeddings() {
    this.#embeddings ??= {
      values: new Float32Array(readBytes(`embeddings-${this.index}`).buffer),
      length: this.length,
      dimensions: this.dimensions,
    };
    return this.#embeddings;
  }

  /** When a frame is played, in seconds. */
  seconds(frame) {
    return this.times ? this.times[frame] : frame / FRAMES_A_SECOND;
  }

  /** The moment of a frame as people read it. */
  moment(frame) {
    if (this.times) return `${this.times[frame].toFixed(2)} s`;
    return `frame ${this.steps[frame]}`;
  }

  /** The name of a frame's phase; empty if the video has none. */
  phase(frame, phases) {
    return this.labels ? (phases[this.labels[frame]]?.name ?? "no phase") : "";
  }
}

/**
 * Sheets of pictures, decoded when they are needed. Those that were used least
 * recently are dropped when all together have too many pixels.
 */
class SheetCache {
  #entries = new Map(); // In the order of their last use.
  #pixels = 0;

  /**
   * @param layout {stride, columns, perSheet}: the frames that have pictures,
   *   and how many lie in a row and on a sheet.
   * @param maxPixels Pixels that are kept.
   * @param onReady Called when a sheet was decoded.
   */
  constructor(layout, maxPixels, onReady) {
    Object.assign(this, layout, { maxPixels, onReady });
  }

  /** Get {bitmap, x, y} of a frame; null while its sheet is decoded. */
  get(video, frame) {
    const picture = Math.floor(frame / this.stride);
    const bitmap = this.#use(video, Math.floor(picture / this.perSheet));
    const place = picture % this.perSheet;
    const x = (place % this.columns) * video.width;
    const y = Math.floor(place / this.columns) * video.height;
    return bitmap && { bitmap, x, y };
  }

  /** Decode the first sheet of a video that is missing, if there is room. */
  prefetch(video) {
    if (this.#pixels + this.#size(video) > this.maxPixels) return false;
    for (let sheet = 0; sheet < video.numSheets; sheet++) {
      if (!this.#entries.has(`${video.index}-${sheet}`)) {
        this.#use(video, sheet);
        return true;
      }
    }
    return false;
  }

  #size(video) {
    return video.width * video.height * this.perSheet;
  }

  #use(video, sheet) {
    const key = `${video.index}-${sheet}`;
    const entry = this.#entries.get(key) ?? this.#decode(video, key);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.bitmap;
  }

  #decode(video, key) {
    const entry = { bitmap: null, pixels: this.#size(video) };
    this.#pixels += entry.pixels;
    this.#dropOldest();
    const blob = new Blob([readBytes(`sheet-${key}`)]);
    createImageBitmap(blob).then((bitmap) => {
      entry.bitmap = bitmap;
      this.onReady();
    });
    return entry;
  }

  #dropOldest() {
    for (const [key, { bitmap, pixels }] of this.#entries) {
      if (this.#pixels <= this.maxPixels) return;
      if (!bitmap) continue;
      bitmap.close();
      this.#entries.delete(key);
      this.#pixels -= pixels;
    }
  }
}
