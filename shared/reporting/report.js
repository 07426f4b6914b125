"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// The gallery's filters: a card is shown when it has every chosen value and all the words.
const form = document.querySelector(".filters");
if (form) {
  const cards = all(".card");
  const text = new Map(cards.map(card => [card, all("h3 code, blockquote", card).map(one => one.textContent).join(" ").toLowerCase()]));
  const show = () => {
    const chosen = all("select:not([name=order])", form).filter(select => select.value);
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const card of cards)
      card.hidden = !(chosen.every(select => card.dataset[select.name] === select.value)
        && words.every(word => text.get(card).includes(word)));
    form.querySelector("output").textContent = `${cards.filter(card => !card.hidden).length} of ${cards.length} shown`;
  };
  const arrange = () => {
    const sign = Number(form.elements.order.value), gain = card => Number(card.dataset.gain ?? -sign * 1e9);
    cards.sort((one, other) => sign * (gain(one) - gain(other))).forEach(card => card.parentNode.append(card));
  };
  form.elements.order?.addEventListener("input", arrange);
  form.addEventListener("input", show);
  form.addEventListener("reset", () => setTimeout(() => { show(); if (form.elements.order) arrange(); }));
  form.addEventListener("submit", event => event.preventDefault());
  show();
}

// A picture enlarged: the thumbnail at once, the file over it as soon as it is there, if it still is.
const dialog = document.querySelector("dialog");
let pictures = [], place = 0;
const open = step => {
  place = (place + step + pictures.length) % pictures.length;
  const link = pictures[place], card = link.closest(".card"), image = dialog.querySelector("img");
  image.src = link.querySelector("img").src;
  image.alt = link.querySelector("img").alt;
  dialog.querySelector("code").textContent = card.querySelector("h3 code").textContent;
  dialog.querySelector("b").textContent = link.parentNode.querySelector("figcaption").textContent;
  dialog.querySelector("a").href = link.href;
  const isMask = link.parentNode.querySelector("figcaption").textContent === "mask";  // the overlay says more than the file
  const full = new Image();
  full.onload = () => { if (pictures[place] === link) image.src = full.src; };
  if (!isMask) full.src = link.href;
};
document.addEventListener("click", event => {
  const link = event.target.closest("a.picture");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  pictures = all("a.picture", link.closest(".card"));
  place = pictures.indexOf(link);
  open(0);
  dialog.showModal();
});
dialog.addEventListener("click", event => {
  if (event.target.dataset.step) open(Number(event.target.dataset.step));
  else if (event.target.tagName !== "A") dialog.close();
});
dialog.addEventListener("keydown", event => {
  const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (step) { event.preventDefault(); open(step); }
});

// On paper everything is unfolded but the records, and of hundreds of cards there are some, evenly chosen.
const ON_PAPER = 24;
addEventListener("beforeprint", () => {
  all("#settings details").forEach(one => { one.open = true; });
  const cards = all(".card:not([hidden])"), every = Math.ceil(cards.length / ON_PAPER);
  cards.forEach((card, place) => card.classList.toggle("off-paper", place % every > 0));
  for (const one of all(".on-paper")) one.textContent = every > 1 ? `On paper: one in ${every}.` : "";
});
