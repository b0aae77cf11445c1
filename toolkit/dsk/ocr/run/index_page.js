"use strict";
const rows = [...document.querySelectorAll("tbody tr")];
const names = rows.map((row) => row.cells[0].textContent.toLowerCase());
const buttons = [...document.querySelectorAll("nav button")];
const find = document.querySelector("#find");
const none = document.querySelector("#none");
let state = "";

function show() {
  const wanted = find.value.trim().toLowerCase();
  let shown = 0;
  rows.forEach((row, number) => {
    const has = state === "" || row.dataset.states.split(" ").includes(state);
    row.hidden = !(has && names[number].includes(wanted));
    shown += !row.hidden;
  });
  none.hidden = shown > 0;
}

find.addEventListener("input", show);
for (const button of buttons) {
  button.addEventListener("click", () => {
    state = button.dataset.state;
    for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
    show();
  });
}
