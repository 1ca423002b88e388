"use strict";
// Live mode: ask again and again, each time over a fresh connection, and draw which pods answered how often.
(() => {
  const PAUSE = 200; // milliseconds between two questions
  const PATIENCE = 3000; // milliseconds that one may take
  const SHOWN = 40; // answers in the row
  const QUIET = 14; // answers for each pod: one of n is missing from 14 n by chance about once in a million times: n x e^-14
  const COLOURS = 6;

  const find = (id) => document.getElementById(id);
  const make = (parent, tag, name) => {
    const element = document.createElement(tag);
    element.className = name;
    parent.append(element);
    return element;
  };

  const AGES = [[86400, "d"], [3600, "h"], [60, "min"]];

  // What a person reads of a time; the exact one is in the title.
  function showStarted(time) {
    const seconds = (Date.now() - new Date(time)) / 1000;
    const [length, unit] = AGES.find(([length]) => seconds >= length) || [1, ""];
    const started = find("started");
    started.dateTime = started.title = time;
    started.textContent = unit ? `${Math.floor(seconds / length)} ${unit}` : "less than a minute";
  }

  function showAnswer(answer) {
    for (const name of ["pod", "node", "count", "build"]) find(name).textContent = answer[name];
    for (const name of ["pod", "node"]) find(`way-${name}`).textContent = answer[name];
    showStarted(answer.started);
  }

  const pods = new Map();
  let asked = 0;
  let failed = 0;
  let running = false;
  let announced = "";

  function podOf(answer) {
    let pod = pods.get(answer.pod);
    if (!pod) {
      const number = pods.size + 1;
      const row = make(find("bars"), "li", `pod-${pods.size % COLOURS}`);
      const about = make(row, "div", "about");
      const name = make(about, "span", "name");
      make(name, "b", "").textContent = number;
      name.append(answer.pod);
      pod = { number, row, answers: 0, last: 0, text: make(about, "span", "number") };
      const track = make(row, "div", "track");
      track.setAttribute("aria-hidden", "true");
      pod.bar = make(track, "div", "bar");
      pods.set(answer.pod, pod);
    }
    return pod;
  }

  function mark(pod, title) {
    const last = find("last");
    const item = make(last, "li", pod ? `pod-${(pod.number - 1) % COLOURS}` : "none");
    item.textContent = pod ? pod.number : "–";
    item.title = title;
    if (last.children.length > SHOWN) last.firstChild.remove();
  }

  function draw() {
    const most = Math.max(...[...pods.values()].map((pod) => pod.answers), 1);
    let answering = 0;
    for (const pod of pods.values()) {
      const quiet = asked - pod.last >= QUIET * pods.size;
      if (!quiet) answering += 1;
      pod.row.classList.toggle("quiet", quiet);
      pod.bar.style.width = `${(100 * pod.answers) / most}%`;
      const times = pod.answers === 1 ? "1 answer" : `${pod.answers} answers`;
      pod.text.textContent = `${times}, its count ${pod.count}, build ${pod.build}, node ${pod.node}${quiet ? ", answers no more" : ""}`;
    }
    const lost = failed ? `, ${failed} without an answer` : "";
    const text = `${answering === 1 ? "1 pod answers" : `${answering} pods answer`}${lost}`;
    // said when it changes, not with each answer: a screen reader reads it out
    if (text !== announced) find("said").textContent = announced = text;
  }

  async function ask() {
    asked += 1;
    try {
      const response = await fetch("/?close", {
        headers: { Accept: "application/json" },
        cache: "no-store",
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (!response.ok) throw new Error(response.statusText);
      const answer = await response.json();
      const pod = podOf(answer);
      pod.answers += 1;
      pod.last = asked;
      pod.count = answer.count;
      pod.build = answer.build;
      pod.node = answer.node;
      showAnswer(answer);
      mark(pod, answer.pod);
    } catch (error) {
      failed += 1;
      mark(null, `no answer: ${error.message}`);
    }
    draw();
  }

  let loop = Promise.resolve();

  async function live() {
    while (running) {
      if (!document.hidden) await ask();
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  showStarted(find("started").dateTime);
  find("address").textContent = location.host;
  const button = find("live");
  button.hidden = false;
  button.addEventListener("click", () => {
    running = !running;
    button.setAttribute("aria-pressed", String(running));
    find("chart").hidden = false;
    if (running) loop = loop.then(live); // switched off and on in a hurry, the first loop ends before the second begins
  });
})();
