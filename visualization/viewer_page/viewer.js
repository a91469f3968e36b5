// The page: its state, the tiles, and what people do with them.
"use strict";

// Milliseconds of work at a time between two pictures.
const SLICE = 8;
// Pixels of decoded pictures that are kept, 4 bytes each.
const MAX_PIXELS = 6.4e7;
// Kendall's tau below which the order of a pair is poor.
const POOR_ORDER = 0.5;
// What the space bar presses. The picture of the reference has nothing to do.
const SPACE_USERS = "button:not([aria-pressed=true]), input";

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const videos = data.videos.map((facts, index) => new Video(facts, index));
const sheets = new SheetCache(data.layout, MAX_PIXELS, requestPaint);
const state = {
  reference: data.reference,
  frame: 0, // Of the reference.
  method: data.useDtw ? "warped" : "nearest",
  selected: data.reference ? 0 : 1, // The video that is compared with it.
  held: null, // {video, frame} that someone went to, besides the reference.
  isPlaying: false,
  clock: 0, // Seconds of the reference, and when they were right.
  before: 0,
};

/** A video among the others. */
class Tile {
  isVisible = false;

  constructor(video) {
    this.video = video;
    this.element = byId("tile").content.firstElementChild.cloneNode(true);
    const find = (name) => this.element.querySelector(name);
    this.badge = find(".badge");
    this.moment = find(".moment");
    this.phase = find(".phase");
    this.button = find(".picture");
    find(".name").textContent = find(".name").title = video.name;
    this.button.ariaLabel = `Make ${video.name} the reference`;
    this.button.onclick = () => makeReference(video);
    this.compare = find(".compare");
    this.compare.ariaLabel = `Compare ${video.name}`;
    this.compare.onclick = () => select(video);
    this.picture = new Picture(find("canvas"), sheets);
    this.timeline = new Timeline(find(".timeline"), seek);
    this.timeline.setVideo(video);
  }

  show() {
    const frame = shownFrame(this.video);
    this.timeline.show(frame ?? 0, data);
    if (frame === null) return;
    this.moment.textContent = this.video.moment(frame);
    this.phase.textContent = this.video.phase(frame, data.phases);
    this.picture.show(this.video, frame);
  }

  /** Mark the reference, the selected video, and a poor order. */
  mark() {
    const { element, video } = this;
    const isReference = video.index === state.reference;
    element.classList.toggle("reference", isReference);
    element.classList.toggle("selected", video.index === state.selected);
    this.button.ariaPressed = this.compare.disabled = isReference;
    this.badge.textContent = isReference ? "reference" : orderWarning(video);
  }
}

/** Alignments of all videos with the references, made in slices. */
class Alignments {
  #found = new Map();
  #job = null;
  #isWaiting = false;

  /** Get {nearest, warped, tau}; undefined if it is not made yet. */
  get(video) {
    return this.#found.get(`${state.reference}-${video.index}`);
  }

  /** Get it now. */
  make(video) {
    const steps = this.#align(video);
    if (!this.get(video)) while (!steps.next().done);
    return this.get(video);
  }

  /** Make what is missing, a slice at a time. */
  work() {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    setTimeout(() => {
      this.#isWaiting = false;
      const end = performance.now() + SLICE;
      do {
        this.#job ??= this.#nextJob();
        if (!this.#job) return;
        if (this.#job.next().done) this.#job = null;
      } while (performance.now() < end);
      this.work();
    });
  }

  /** Choose what is seen first. */
  #nextJob() {
    const isMissing = ({ video }) =>
      video.index !== state.reference && !this.get(video);
    const seen = tiles.filter((tile) => tile.isVisible);
    const tile = seen.find(isMissing);
    if (tile) return this.#align(tile.video);
    if (!pairView.isDrawn) return this.#align(videos[state.selected]);
    const other = tiles.find(isMissing);
    if (other) return this.#align(other.video);
    const isRead = seen.some(({ video }) => sheets.prefetch(video));
    return isRead ? [].values() : null;
  }

  *#align(video) {
    const { reference } = state;
    const query = videos[reference].embeddings;
    const found = yield* alignVideos(query, video.embeddings);
    const { nearest, warped, tau } = found;
    this.#found.set(`${reference}-${video.index}`, { nearest, warped, tau });
    if (reference !== state.reference) return;
    if (video.index === state.selected) pairView.draw(found);
    tiles[video.index].mark();
    showSummary();
    requestPaint();
  }
}

/** The cost matrix of the reference and the selected video. */
class PairView {
  isDrawn = false;

  constructor(element) {
    this.element = element;
    this.canvas = element.querySelector("canvas");
    onDrag(element, (right, up) => {
      const [reference, candidate] = this.#pair();
      seek(reference, Math.floor(right * reference.length));
      const frame = Math.floor(up * candidate.length);
      state.held = { video: candidate.index, frame };
    });
  }

  draw({ cost, path, nearest, tau }) {
    const [{ name, length }, candidate] = this.#pair();
    const matches =
      state.method === "warped"
        ? [path.rows, path.columns]
        : [nearest.forward.map((_, row) => row), nearest.forward];
    drawMatrix(this.canvas, cost, length, candidate.length, ...matches);
    byId("pair-reference").textContent = name;
    byId("pair-candidate").textContent = candidate.name;
    this.canvas.ariaLabel = `Costs and alignment, ${name}, ${candidate.name}`;
    this.canvas.dataset.pair = `${state.reference}-${state.selected}`;
    const order = Number.isNaN(tau) ? "not defined" : tau.toFixed(2);
    byId("pair-order").textContent = `Kendall's tau: ${order}.`;
    this.isDrawn = true;
  }

  show() {
    const [reference, candidate] = this.#pair();
    const frame = shownFrame(candidate) ?? 0;
    const { style } = this.element;
    style.setProperty("--right", (state.frame + 0.5) / reference.length);
    style.setProperty("--up", (frame + 0.5) / candidate.length);
  }

  #pair() {
    return [videos[state.reference], videos[state.selected]];
  }
}

/** The frame that a video shows; null as long as it is not aligned. */
function shownFrame(video) {
  if (video.index === state.reference) return state.frame;
  if (video.index === state.held?.video) return state.held.frame;
  return alignments.get(video)?.[state.method].forward[state.frame] ?? null;
}

/** Go to a frame of any video, with the reference to the moment it matches. */
function seek(video, frame) {
  frame = Math.min(Math.max(frame, 0), video.length - 1);
  state.held = null;
  if (video.index === state.reference) state.frame = frame;
  else {
    state.frame = alignments.make(video)[state.method].backward[frame];
    state.held = { video: video.index, frame };
  }
  state.clock = videos[state.reference].seconds(state.frame);
  requestPaint();
}

/** Make a video the reference, at the frame that it shows. */
function makeReference(video) {
  if (video.index !== state.reference) alignments.make(video);
  const frame = shownFrame(video);
  if (state.selected === video.index) state.selected = state.reference;
  state.reference = video.index;
  seek(video, frame);
  stageTimeline.setVideo(video);
  byId("name").textContent = video.name;
  byId("stage").ariaLabel = `Frame of ${video.name}`;
  refresh();
}

function select(video) {
  state.selected = video.index;
  refresh();
  byId("pair").scrollIntoView({ block: "nearest" });
}

function setMethod(method) {
  state.method = byId("method").value = method;
  state.held = null;
  refresh();
}

/** Show a changed reference, selection or method. */
function refresh() {
  pairView.isDrawn = false;
  for (const tile of tiles) tile.mark();
  showSummary();
  alignments.work();
  requestPaint();
}

/** Draw all charts again, as their size or color changed. */
function redraw() {
  stageTimeline.isDrawn = false;
  for (const tile of tiles) tile.timeline.isDrawn = false;
  refresh();
}

function setPlaying(isPlaying) {
  const video = videos[state.reference];
  if (isPlaying && state.frame === video.length - 1) seek(video, 0);
  state.isPlaying = isPlaying;
  state.before = performance.now();
  byId("play").textContent = isPlaying ? "Pause" : "Play";
  requestPaint();
}

/** Go on playing at the real pace of the reference. */
function advance(now) {
  const video = videos[state.reference];
  const passed = Math.max(now - state.before, 0) / 1000;
  state.clock += passed * byId("speed").value;
  state.before = now;
  state.held = null;
  const last = video.length - 1;
  while (state.frame < last && video.seconds(state.frame + 1) <= state.clock) {
    state.frame++;
  }
  if (state.frame < last) return;
  if (byId("repeat").checked) seek(video, 0);
  else setPlaying(false);
}

let isPaintRequested = false;

function requestPaint() {
  if (!isPaintRequested) requestAnimationFrame(paint);
  isPaintRequested = true;
}

function paint(now) {
  isPaintRequested = false;
  if (state.isPlaying) advance(now);
  const reference = videos[state.reference];
  stagePicture.show(reference, state.frame);
  stageTimeline.show(state.frame, data);
  byId("moment").textContent = reference.moment(state.frame);
  byId("phase").textContent = reference.phase(state.frame, data.phases);
  for (const tile of tiles) if (tile.isVisible) tile.show();
  pairView.show();
  if (state.isPlaying) requestPaint();
}

/** What is wrong with the order of a video's frames, or nothing. */
function orderWarning(video) {
  const tau = alignments.get(video)?.tau ?? 1;
  if (Number.isNaN(tau)) return "⚠ stands still";
  if (tau < -POOR_ORDER) return "⚠ runs backwards";
  return tau < POOR_ORDER ? "⚠ poor order" : "";
}

function showSummary() {
  const others = videos.filter(({ index }) => index !== state.reference);
  const count = others.length;
  const poor = others.filter(orderWarning).length;
  let text = `${count} of ${count} others in the order of the reference.`;
  if (poor) text = `⚠ ${poor} of ${count} not in the order of the reference.`;
  if (!others.every((video) => alignments.get(video))) text = "Aligning …";
  const summary = `${videos.length} videos. ${text}`;
  // Screen readers read aloud what is written, even if it is the same.
  if (byId("summary").textContent === summary) return;
  byId("summary").textContent = summary;
}

function addLegend(text, color, kind = "") {
  const entry = byId("legend").appendChild(document.createElement("li"));
  const swatch = entry.appendChild(document.createElement("span"));
  swatch.className = `swatch ${kind}`;
  swatch.style.setProperty("--color", color);
  entry.appendChild(document.createElement("bdi")).textContent = text;
}

function onKey(event) {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.closest("select")) return;
  const slider = target.closest("[role=slider]");
  const video = videos[slider?.dataset.video ?? state.reference];
  const frame = shownFrame(video) ?? 0;
  const step = event.shiftKey ? 10 : 1;
  const [before, after] = [frame - step, frame + step];
  const frames = { ArrowLeft: before, ArrowRight: after };
  Object.assign(frames, { Home: 0, End: video.length - 1 });
  // Elsewhere these scroll the page.
  if (slider) Object.assign(frames, { ArrowDown: before, ArrowUp: after });
  if (/^\d$/.test(key)) frames[key] = Math.floor((key / 10) * video.length);
  if (key in frames) seek(video, frames[key]);
  else if (key === " " && !target.closest(SPACE_USERS)) {
    setPlaying(!state.isPlaying);
  } else if (key.toLowerCase() === "d") {
    setMethod(state.method === "warped" ? "nearest" : "warped");
  } else return;
  event.preventDefault();
}

const alignments = new Alignments();
const tiles = videos.map((video) => new Tile(video));
const stagePicture = new Picture(byId("stage"), sheets);
const stageTimeline = new Timeline(byId("timeline"), seek);
const pairView = new PairView(byId("matrix"));

function fillPage() {
  const [{ width, height }] = videos;
  byId("tiles").style.setProperty("--aspect", width / height);
  byId("tiles").append(...tiles.map((tile) => tile.element));
  byId("threshold").textContent = data.threshold.toPrecision(3);
  for (const note of data.notes) {
    byId("notes").appendChild(document.createElement("li")).textContent = note;
  }
  for (const { name, color } of data.phases) addLegend(name, color);
  if (videos.some((video) => video.isPredicted)) {
    addLegend("predicted from labeled videos", "gray", "predicted");
  }
  addLegend("unlike any other video", UNUSUAL);
}

function listen() {
  byId("back").onclick = () => seek(stageTimeline.video, state.frame - 1);
  byId("forward").onclick = () => seek(stageTimeline.video, state.frame + 1);
  byId("play").onclick = () => setPlaying(!state.isPlaying);
  byId("method").onchange = (event) => setMethod(event.target.value);
  byId("theme").onchange = (event) => {
    document.documentElement.style.colorScheme = event.target.value;
    redraw();
  };
  addEventListener("keydown", onKey);
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").onchange = redraw;
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const tile = tiles.find(({ element }) => element === target);
        tile.isVisible = isIntersecting;
      }
      alignments.work();
      requestPaint();
    },
    { rootMargin: "200px" },
  );
  for (const { element } of tiles) observer.observe(element);
}

fillPage();
listen();
setMethod(state.method);
makeReference(videos[state.reference]);
