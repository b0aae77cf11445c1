"use strict";
// Pictures are decoded as their pages come near, and given up as they go.
const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const image = target.querySelector("img");
    if (isIntersecting && !image.src) {
      image.addEventListener("load", () => cutOut(target, image), { once: true });
      image.src = image.dataset.src;
    } else if (!isIntersecting && image.src) {
      image.removeAttribute("src");
    }
  }
}, { rootMargin: "200% 0px" });

function cutOut(section, image) {
  for (const canvas of section.querySelectorAll("canvas")) {
    const [left, top, right, bottom] = canvas.dataset.box.split(",").map((edge) => edge / 999);
    const across = image.naturalWidth, down = image.naturalHeight;
    canvas.width = Math.max(1, (right - left) * across);
    canvas.height = Math.max(1, (bottom - top) * down);
    canvas.getContext("2d").drawImage(image, -left * across, -top * down);
  }
}

const sections = [...document.querySelectorAll("section")];
for (const section of sections) {
  if (section.querySelector("img")) near.observe(section);
}

// A box and its text light up together.
let lit = [];
function light(part) {
  for (const one of lit) one.classList.remove("lit");
  const chosen = part?.closest?.("[data-b]");
  lit = chosen
    ? [...chosen.closest("section").querySelectorAll(`[data-b="${chosen.dataset.b}"]`)]
    : [];
  for (const one of lit) one.classList.add("lit");
  return chosen;
}
const main = document.querySelector("main");
main.addEventListener("pointerover", (event) => light(event.target));
main.addEventListener("pointerleave", () => light(null));
main.addEventListener("focusin", (event) => light(event.target));
main.addEventListener("click", (event) => {
  const chosen = light(event.target);
  const other = chosen && lit.find((one) => one.tagName !== chosen.tagName);
  other?.scrollIntoView({ block: "nearest", behavior: "smooth" });
});

// A page is shown if it has the chosen state and the words that are looked for.
const buttons = [...document.querySelectorAll("nav button")];
const find = document.querySelector("#find");
const texts = new Map();
let state = "";

function textOf(section) {
  if (!texts.has(section)) {
    const text = section.querySelector(".text")?.textContent ?? "";
    texts.set(section, text.replace(/\s+/g, " ").toLowerCase());
  }
  return texts.get(section);
}

function show() {
  const words = find.value.trim().replace(/\s+/g, " ").toLowerCase();
  for (const section of sections) {
    const has = state === "" || section.dataset.state === state;
    section.hidden = !(has && (words === "" || textOf(section).includes(words)));
  }
  scrollTo(0, 0);
}

find.addEventListener("input", show);
for (const button of buttons) {
  button.addEventListener("click", () => {
    state = button.dataset.state;
    for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
    show();
  });
}

document.querySelector("#go").addEventListener("change", (event) => {
  const section = document.getElementById(`p${event.target.value}`);
  if (section) {
    if (section.hidden) {
      find.value = "";
      buttons[0].click();
    }
    section.scrollIntoView();
  }
});
