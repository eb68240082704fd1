"use strict";
const tiles = [...document.querySelectorAll("#candidates > li")];
const told = document.querySelector("#told");
let saving = Promise.resolve();  // one change after the other, in the order of the keys

const buttonOf = (tile) => tile.querySelector(".veto");
const reasonOf = (tile) => tile.querySelector(".reason");
const isVetoed = (tile) => buttonOf(tile).getAttribute("aria-pressed") === "true";

function show(tile, vetoed) {
  buttonOf(tile).setAttribute("aria-pressed", String(vetoed));
  tile.classList.toggle("vetoed", vetoed);
}

function save(tile, vetoed) {
  const before = isVetoed(tile);
  show(tile, vetoed);
  saving = saving.then(() => send(tile, vetoed)).catch((error) => {
    show(tile, before);
    told.textContent = `Not saved. ${error.message}`;
  });
}

async function send(tile, vetoed) {
  const body = JSON.stringify({sample_id: tile.dataset.id, vetoed, reason: vetoed ? reasonOf(tile).value : ""});
  let answer;
  try {
    answer = await fetch("veto", {method: "POST", headers: {"Content-Type": "application/json"}, body});
  } catch {
    throw new Error("The server does not answer; start `penumbra review` again.");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  document.querySelector("#vetoed").textContent = said.vetoed;
  told.textContent = "";
}

function columns() {
  const top = tiles[0].offsetTop;
  const second = tiles.findIndex((tile) => tile.offsetTop > top);
  return second < 0 ? tiles.length : second;
}

function walk(key) {
  const at = tiles.indexOf(document.activeElement.closest("#candidates > li"));
  const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns()}[key];
  const next = at < 0 ? 0 : at + step;
  if (next in tiles) {
    buttonOf(tiles[next]).focus();
    tiles[next].scrollIntoView({block: "center"});
  }
}

for (const tile of tiles) {
  buttonOf(tile).addEventListener("click", () => save(tile, !isVetoed(tile)));
  reasonOf(tile).addEventListener("change", () => save(tile, true));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const tile = document.activeElement.closest("#candidates > li");
  if (document.activeElement.matches("input, select")) {
    if (tile && ["Escape", "Enter"].includes(event.key)) {
      buttonOf(tile).focus();  // leaving the field saves it
      event.preventDefault();  // Enter would press the button, too
    }
    return;
  }
  const link = {n: "#next", p: "#previous"}[event.key];
  if (event.key.startsWith("Arrow") && tiles.length) walk(event.key);
  else if (link) document.querySelector(link)?.click();
  else if (event.key === "x" && tile) buttonOf(tile).click();
  else if (event.key === "r" && tile && isVetoed(tile)) reasonOf(tile).focus();
  else return;
  event.preventDefault();  // r must not be typed into the field, nor an arrow scroll
});
