"use strict";
const dialog = document.querySelector("dialog"), zooms = [...document.querySelectorAll(".zoom")];
let at = 0;
function show(index) {
  at = (index + zooms.length) % zooms.length;
  const image = zooms[at].querySelector("img"), text = zooms[at].closest("figure").querySelector("figcaption").textContent;
  dialog.querySelector("img").src = image.src;
  dialog.querySelector("img").alt = image.alt;
  dialog.querySelector("p").textContent = text;
  if (!dialog.open) dialog.showModal();
}
zooms.forEach((zoom, index) => zoom.addEventListener("click", () => show(index)));
dialog.addEventListener("click", (event) => {
  const step = event.target.dataset.step;
  if (event.target === dialog || step === "0") dialog.close();
  else if (step) show(at + Number(step));
});
dialog.addEventListener("keydown", (event) => {
  const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (step) { event.preventDefault(); show(at + step); }
});
dialog.addEventListener("close", () => zooms[at].focus());
