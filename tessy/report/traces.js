// One trace at a time, by buttons or keys. Without this script every trace is listed.
"use strict";

const viewer = document.querySelector(".viewer");
const traces = [...viewer.querySelectorAll(".trace")];
const shown = viewer.querySelector("output");
const toggle = viewer.querySelector(".toggle");
let current = 0;

const show = (index) => {
  current = Math.min(Math.max(index, 0), traces.length - 1);
  traces.forEach((trace, i) => trace.classList.toggle("current", i === current));
  shown.textContent = `${current + 1} of ${traces.length}`;
  scrollTo(0, 0);
};

const toggleDiscarded = () => {
  const hidden = viewer.classList.toggle("without-discarded");
  toggle.setAttribute("aria-pressed", String(!hidden));
};

const actions = {
  j: () => show(current + 1),
  ArrowRight: () => show(current + 1),
  k: () => show(current - 1),
  ArrowLeft: () => show(current - 1),
  Home: () => show(0),
  End: () => show(traces.length - 1),
  d: toggleDiscarded,
};

document.addEventListener("keydown", (event) => {
  const action = actions[event.key];
  // Inside a region that scrolls sideways the arrows belong to it.
  const scrolls = event.key.startsWith("Arrow") && event.target.closest("pre");
  if (!action || event.altKey || event.ctrlKey || event.metaKey || scrolls) return;
  event.preventDefault();
  action();
});
for (const button of viewer.querySelectorAll("button[data-step]")) {
  button.addEventListener("click", () => show(current + Number(button.dataset.step)));
}
toggle.addEventListener("click", toggleDiscarded);
viewer.classList.add("paged");
viewer.querySelector(".controls").hidden = false;
show(0);
