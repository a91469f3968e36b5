// Draws timelines and the cost matrix.
"use strict";

const UNUSUAL = "#e6007a";
const BAND_HEIGHT = 9;
// A path is drawn twice: an outline so much wider, then the line.
const PATH = { "#10131a": 2, "#4de3ff": 0 };
// Colors of costs, the brightest for frames that are alike.
const RAMP = ["#140e36", "#721f81", "#f1605d", "#fcf3bf"];

/** Fit a canvas to its place on the screen, in pixels of the screen. */
function fitCanvas(canvas) {
  canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
  canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
  return canvas.getContext("2d");
}

/**
 * Draw how far each frame is from all other videos, above a band of phases.
 *
 * @param phases [{name, color}] by number.
 * @param threshold Distance above which a frame is unusual.
 */
function drawTimeline(canvas, video, phases, threshold) {
  const context = fitCanvas(canvas);
  const { width, height } = canvas;
  const color = getComputedStyle(canvas).color;
  const band = video.isPhased ? BAND_HEIGHT * devicePixelRatio : 0;
  const bottom = height - band;
  // What is unusual starts at half the height and is cut off at the top.
  const scale = bottom / (2 * threshold || 1);
  // Rounded, so that neighbors neither overlap nor leave a gap.
  const left = (frame) => Math.round((frame * width) / video.length);
  for (let frame = 0; frame < video.length; frame++) {
    const [x, step] = [left(frame), left(frame + 1) - left(frame)];
    const distance = video.distances[frame];
    const isUnusual = distance > threshold;
    context.globalAlpha = isUnusual ? 1 : 0.4;
    context.fillStyle = isUnusual ? UNUSUAL : color;
    const top = Math.min(Math.max(distance * scale, 1), bottom);
    context.fillRect(x, bottom - top, step, top);
    const label = video.isPhased ? video.labels[frame] : -1;
    if (label < 0) continue;
    context.globalAlpha = 1;
    context.fillStyle = phases[label].color;
    context.fillRect(x, bottom, step, band);
  }
  if (!video.isPredicted) return;
  context.fillStyle = makeHatch(context);
  context.fillRect(0, bottom, width, band);
}

/** Make stripes of the page's background. */
function makeHatch(context) {
  const size = Math.round(6 * devicePixelRatio);
  const tile = new OffscreenCanvas(size, size);
  const pen = tile.getContext("2d");
  pen.strokeStyle = getComputedStyle(document.body).backgroundColor;
  pen.lineWidth = size / 3;
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift - 1, size + 1);
    pen.lineTo(shift + size + 1, -1);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat");
}

/**
 * Draw a cost matrix, bright where frames are alike, and the matches on it:
 * the reference's time to the right, the candidate's upward.
 *
 * @param cost Squared distances [m, n], a row a frame of the reference.
 * @param rows Frames of the reference that are matched, with those in
 * @param columns of the candidate.
 */
function drawMatrix(canvas, cost, m, n, rows, columns) {
  const context = fitCanvas(canvas);
  const { width, height } = canvas;
  const image = new OffscreenCanvas(m, n);
  image.getContext("2d").putImageData(colorCosts(cost, m, n), 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, width, height);
  const size = Math.max(2 * devicePixelRatio, Math.min(width / m, height / n));
  for (const [color, extra] of Object.entries(PATH)) {
    context.fillStyle = color;
    rows.forEach((row, k) => {
      const x = ((row + 0.5) / m) * width - (size + extra) / 2;
      const y = (1 - (columns[k] + 0.5) / n) * height - (size + extra) / 2;
      context.fillRect(x, y, size + extra, size + extra);
    });
  }
}

function colorCosts(cost, m, n) {
  const sample = cost.filter((_, k) => k % Math.ceil(cost.length / 1e4) === 0);
  sample.sort();
  const nearest = Math.sqrt(sample[0]);
  // A few frames that are far from all others must not darken the rest.
  const far = Math.sqrt(sample[Math.floor(0.95 * (sample.length - 1))]);
  const palette = makePalette();
  const image = new ImageData(m, n);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const distance = Math.sqrt(cost[i * n + j]) - nearest;
      const share = Math.min(Math.max(distance / (far - nearest || 1), 0), 1);
      pixels[(n - 1 - j) * m + i] = palette[Math.round(255 * (1 - share))];
    }
  }
  return image;
}

/** Make 256 colors, from frames that differ to frames that are alike. */
function makePalette() {
  const pen = new OffscreenCanvas(256, 1).getContext("2d");
  const ramp = pen.createLinearGradient(0, 0, 256, 0);
  RAMP.forEach((color, k) => ramp.addColorStop(k / (RAMP.length - 1), color));
  pen.fillStyle = ramp;
  pen.fillRect(0, 0, 256, 1);
  return new Uint32Array(pen.getImageData(0, 0, 256, 1).data.buffer);
}
