// One trace at a time, and nothing folded away on paper. Without this script the page is complete.
"use strict";

const viewer = document.querySelector(".viewer");
if (viewer) {
  const traces = [...viewer.querySelectorAll(".trace")];
  const shown = viewer.querySelector("output");
  let current = 0;

  const show = (index) => {
    current = (index + traces.length) % traces.length;
    traces.forEach((trace, i) => trace.classList.toggle("current", i === current));
    const method = traces[current].querySelector("h3").firstChild.textContent.trim();
    shown.textContent = `${method}, ${current + 1} of ${traces.length}`;
  };

  const onScreen = () => {
    const box = viewer.getBoundingClientRect();
    return box.top < innerHeight && box.bottom > 0;
  };

  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    // Inside a region that scrolls sideways the arrows belong to it.
    const scrolls = event.target.closest(".scroll, pre");
    if (!step || event.altKey || event.ctrlKey || event.metaKey || scrolls || !onScreen()) return;
    event.preventDefault();
    show(current + step);
  });
  for (const button of viewer.querySelectorAll("button")) {
    button.addEventListener("click", () => show(current + Number(button.dataset.step)));
  }
  viewer.classList.add("paged");
  viewer.querySelector(".controls").hidden = traces.length < 2;
  show(0);
}

const folded = () => document.querySelectorAll("details:not([open])");
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...folded()];
  opened.forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => opened.forEach((details) => { details.open = false; }));
