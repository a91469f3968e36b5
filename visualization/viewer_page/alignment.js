// Matches the frames of two videos by their embeddings. The results are those
// of visualization/matching.py and visualization/dtw.py, equal ones included.
//
// The files of this page are classic scripts that share their names, because a
// page that is opened from disk can't import modules.
"use strict";

/**
 * Align two videos. Pauses after each row of the cost matrix, so that the page
 * can do something else in between.
 *
 * @param query {values, length, dimensions}: embeddings, a row a frame.
 * @param candidate The same of the other video.
 * @returns {cost, path, nearest, warped, tau}: squared distances, a row a frame
 *   of the query; the path of dynamic time warping; the matches of both
 *   methods, `forward` from query to candidate and `backward`; Kendall's tau of
 *   the nearest neighbors.
 */
function* alignVideos(query, candidate) {
  const [m, n] = [query.length, candidate.length];
  const cost = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    fillDistances(cost.subarray(row * n, (row + 1) * n), query, row, candidate);
    yield;
  }
  const path = dtwPath(cost, m, n);
  const nearest = {
    forward: findMinima(cost, m, n, n, 1),
    backward: findMinima(cost, n, m, 1, n),
  };
  const warped = {
    forward: takeMiddles(path.rows, path.columns, m),
    backward: takeMiddles(path.columns, path.rows, n),
  };
  return { cost, path, nearest, warped, tau: kendallsTau(nearest.forward) };
}

/** Write the squared distances of a frame to all frames of the candidate. */
function fillDistances(distances, query, row, candidate) {
  const { dimensions, values } = candidate;
  const frame = query.values.subarray(row * dimensions, (row + 1) * dimensions);
  for (let column = 0; column < distances.length; column++) {
    const start = column * dimensions;
    let sum = 0;
    for (let d = 0; d < dimensions; d++) {
      const difference = frame[d] - values[start + d];
      sum += difference * difference;
    }
    distances[column] = sum;
  }
}

/**
 * Find the first smallest entry of each of `count` lines of a matrix.
 *
 * Line i starts at i * lineStep; its `length` entries are entryStep apart.
 */
function findMinima(cost, count, length, lineStep, entryStep) {
  const found = new Int32Array(count);
  for (let line = 0; line < count; line++) {
    let best = 0;
    for (let entry = 1; entry < length; entry++) {
      const at = line * lineStep;
      if (cost[at + entry * entryStep] < cost[at + best * entryStep]) {
        best = entry;
      }
    }
    found[line] = best;
  }
  return found;
}

/**
 * Find the cheapest path from corner to corner. Among equally cheap ways into a
 * cell the diagonal one is taken, then the one from the row above.
 *
 * @returns {rows, columns}: the cells of the path in order.
 */
function dtwPath(cost, m, n) {
  const totals = new Float64Array(m * n);
  const total = (i, j) => (i < 0 || j < 0 ? Infinity : totals[i * n + j]);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const [above, left] = [total(i - 1, j), total(i, j - 1)];
      const before = Math.min(total(i - 1, j - 1), above, left);
      totals[i * n + j] = cost[i * n + j] + (i + j ? before : 0);
    }
  }
  let [i, j] = [m - 1, n - 1];
  const [rows, columns] = [[i], [j]];
  while (i + j > 0) {
    const [above, left] = [total(i - 1, j), total(i, j - 1)];
    const isDiagonal = total(i - 1, j - 1) <= Math.min(above, left);
    const isAbove = isDiagonal || above <= left;
    if (isAbove) i--;
    if (isDiagonal || !isAbove) j--;
    rows.push(i);
    columns.push(j);
  }
  return { rows: rows.reverse(), columns: columns.reverse() };
}

/**
 * Make a path one-valued: where it matches a frame with several of the other
 * video, take the middle one, the earlier of two.
 */
function takeMiddles(frames, others, count) {
  const matches = new Int32Array(count);
  for (let first = 0, end; first < frames.length; first = end) {
    for (end = first + 1; frames[end] === frames[first];) end++;
    matches[frames[first]] = others[first + ((end - first - 1) >> 1)];
  }
  return matches;
}

/** Compute tau-b between 0, 1, 2... and matches; NaN where all are equal. */
function kendallsTau(matches) {
  let [score, untied] = [0, 0];
  for (let i = 0; i < matches.length; i++) {
    for (let j = i + 1; j < matches.length; j++) {
      const sign = Math.sign(matches[j] - matches[i]);
      score += sign;
      untied += Math.abs(sign);
    }
  }
  const pairs = (matches.length * (matches.length - 1)) / 2;
  return score / Math.sqrt(pairs * untied);
}
