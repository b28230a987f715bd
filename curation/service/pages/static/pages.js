"use strict";
const root = document.documentElement;
const kept = localStorage.getItem("theme");
if (kept) root.dataset.theme = kept;
document.getElementById("theme")?.addEventListener("click", () => {
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});
const slide = document.getElementById("slide");
slide?.addEventListener("input", () => {
  document.getElementById("over").style.setProperty("--cut", `${100 - slide.value}%`);
});
document.querySelector(".filters form")?.addEventListener("submit", (event) => {
  for (const field of event.target.elements) if (field.name && field.value === "") field.disabled = true;
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const tiles = [...document.querySelectorAll(".tile a")];
  const at = tiles.indexOf(document.activeElement);
  const step = { j: 1, ArrowRight: 1, k: -1, ArrowLeft: -1 }[event.key];
  if (step && tiles.length) {
    tiles[Math.min(tiles.length - 1, Math.max(0, at + step))].focus();
    event.preventDefault();
  }
});
