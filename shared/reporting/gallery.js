"use strict";
const {items, ordered_by} = JSON.parse(document.getElementById("items").textContent);
const {key, words, facets, facts, pictures} = items;
const form = document.querySelector("form"), list = document.querySelector("main"), dialog = document.querySelector("dialog");
const text = key.map((one, item) => `${one}\n${words[item]}`.toLowerCase());
const KEPT = "kept", REJECTED = "rejected", PAIR = "photograph and what was made of it";
const LINES_AHEAD = 2, BETWEEN_PICTURES = 100;  // cells beyond the window; milliseconds, so that what only flies by is not loaded

const made = (tag, properties, ...children) => {
  const one = Object.assign(document.createElement(tag), properties);
  one.append(...children);
  return one;
};
const link = (label, item) => {
  const rest = pictures[label]?.links[item];
  return rest == null ? null : pictures[label].start + rest;
};
const isKept = item => valueOf("state", item) === KEPT;
const valueOf = (name, item) => facets[name].values[facets[name].codes[item]];

// The filters: an item is found when it has every chosen value and all the words.
const offered = [];
for (const [name, {values, codes}] of Object.entries(facets)) {
  if (values.length < 2) continue;
  const counts = values.map(() => 0);
  for (const code of codes) if (code >= 0) counts[code]++;
  const option = (value, count) => made("option", {value, textContent: `${value} (${count.toLocaleString("en")})`, defaultSelected: value === KEPT});
  const select = made("select", {name}, made("option", {value: "", textContent: "all"}), ...values.map((value, code) => option(value, counts[code])));
  if (values[0] === KEPT) select.options[1].after(option(REJECTED, key.length - counts[0]));  // for whatever reason; those follow
  form.insertBefore(made("label", {}, `${name} `, select), form.elements.order.parentNode);
  offered.push(select);
}
for (const name of ordered_by.filter(name => name in facts))
  for (const [sign, order] of [[-1, "highest"], [1, "lowest"]])
    form.elements.order.append(made("option", {value: `${sign} ${name}`, textContent: `${name}, ${order} first`}));

let found = [];
const search = () => {
  const chosen = offered.filter(select => select.value).map(({name, value}) => {
    const {values, codes} = facets[name], code = values.indexOf(value);
    return value === REJECTED ? item => !isKept(item) : item => codes[item] === code;
  });
  const wanted = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  found = [];
  for (let item = 0; item < key.length; item++)
    if (chosen.every(isFound => isFound(item)) && wanted.every(word => text[item].includes(word))) found.push(item);
  const [sign, ...name] = form.elements.order.value.split(" ");
  if (sign) {
    const value = facts[name.join(" ")].map(one => Number(sign) * parseFloat(one ?? NaN));
    found.sort((one, other) => (Number.isNaN(value[one]) - Number.isNaN(value[other])) || value[one] - value[other] || one - other);
  }
  form.querySelector("output").textContent = `${found.length.toLocaleString("en")} of ${key.length.toLocaleString("en")} shown`;
  clear();
  draw();
};

// The cells: those in sight and a few lines more; the padding above stands for those that are not there.
const cells = new Map();
const clear = () => { for (const place of [...cells.keys()]) remove(place); };
const remove = place => {
  for (const image of cells.get(place).querySelectorAll("img")) image.removeAttribute("src");  // ends what is still loading
  cells.get(place).remove();
  cells.delete(place);
};
const draw = () => {
  const style = getComputedStyle(list), gap = parseFloat(style.rowGap);
  const line = parseFloat(style.gridAutoRows) + gap, columns = style.gridTemplateColumns.split(" ").length;
  const lines = Math.ceil(found.length / columns), top = -list.getBoundingClientRect().top;
  const first = Math.min(Math.max(0, Math.floor(top / line) - LINES_AHEAD), Math.max(0, lines - 1)) * columns;
  const last = Math.min(found.length, (Math.ceil((top + innerHeight) / line) + LINES_AHEAD) * columns);
  list.style.height = `${Math.max(0, lines * line - gap)}px`;
  list.style.paddingTop = `${first / columns * line}px`;
  for (const place of [...cells.keys()]) if (place < first || place >= last) remove(place);
  for (let place = last - 1, next = null; place >= first; next = cells.get(place--))
    if (!cells.has(place)) {
      cells.set(place, cell(found[place], place));
      list.insertBefore(cells.get(place), next);
    }
  later();
};
const cell = (item, place) => {
  const strip = link("strip", item);
  const labels = link("relit", item) ? [link("input", item) ? "input" : "degraded", "relit", "photograph"] : ["photograph", "degraded"];
  const shown = strip ? [strip] : labels.map(label => link(label, item)).filter(Boolean);
  const images = shown.map(address => {
    const image = made("img", {alt: `${strip ? PAIR : "picture"}: ${key[item]}`, decoding: "async"});
    image.dataset.address = address;
    return image;
  });
  const split = facets.split && valueOf("split", item);
  const one = made("article", {className: isKept(item) ? "cell" : "cell rejected"},
    images.length ? made("a", {href: labels.map(label => link(label, item)).find(Boolean) ?? strip}, ...images) : made("a", {}, "no file to show"),
    made("h3", {}, made("code", {title: key[item]}, made("bdi", {}, key[item])), ...(split ? [made("span", {className: `tag ${split}`}, split)] : [])),
    made("blockquote", {title: words[item]}, words[item]), made("small", {}, said(item)));
  one.dataset.place = place;
  return one;
};
const said = item => Object.entries(facts).filter(([, values]) => values[item]).map(([name, values]) => `${name} ${values[item]}`).join(" · ");
let waiting = 0;
const later = () => {
  waiting ||= setTimeout(() => {
    waiting = 0;
    for (const image of list.querySelectorAll("img:not([src])")) image.src = image.dataset.address;
  }, BETWEEN_PICTURES);
};
let isAsked = false;
const drawSoon = () => {
  if (!isAsked) requestAnimationFrame(() => { isAsked = false; draw(); });
  isAsked = true;
};
list.addEventListener("error", event => {
  if (event.target.tagName === "IMG") event.target.replaceWith(made("span", {className: "absent"}, "cannot be shown here"));
}, true);

// A picture enlarged: left and right change between the pictures of an item, up and down between the items.
let place = 0, label = "photograph";
const open = (items, steps) => {
  place = (place + items + found.length) % found.length;
  const item = found[place], labels = Object.keys(pictures).filter(one => one !== "strip" && link(one, item));
  // What was made of a reject is kept small only, and comes first; of the others there are files of full size.
  if (link("strip", item) && !(labels.length && isKept(item))) labels.unshift("strip");
  label = labels[(Math.max(0, labels.indexOf(label)) + steps + labels.length) % labels.length] ?? label;
  const image = dialog.querySelector("img"), address = link(label, item);
  image.onerror = () => { image.onerror = null; image.src = link("strip", item) ?? ""; };  // moved away, or a format that browsers do not know
  image.src = address ?? "";
  image.alt = dialog.querySelector("b").textContent = address ? (label === "strip" ? PAIR : label) : "no file to show";
  dialog.querySelector("a").href = address ?? "";
  dialog.querySelector("code").textContent = key[item];
  dialog.querySelector(".said").textContent = [words[item], said(item)].filter(Boolean).join(" · ");
};
list.addEventListener("click", event => {
  const target = event.target.closest("a[href]");
  if (!target || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  place = Number(target.parentNode.dataset.place);
  label = isKept(found[place]) ? "photograph" : "strip";
  open(0, 0);
  dialog.showModal();
});
dialog.addEventListener("click", event => {
  if (event.target.dataset.picture) open(0, Number(event.target.dataset.picture));
  else if (event.target.tagName !== "A") dialog.close();
});
dialog.addEventListener("keydown", event => {
  const steps = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
  if (steps) { event.preventDefault(); open(...steps); }
});

// The report's links choose by what stands behind the #.
const choose = () => {
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (form.elements[name]) form.elements[name].value = value;
  search();
};
form.addEventListener("input", () => { scrollTo(0, Math.min(scrollY, form.offsetTop)); search(); });
form.addEventListener("reset", () => setTimeout(search));
form.addEventListener("submit", event => event.preventDefault());
addEventListener("scroll", drawSoon, {passive: true});
addEventListener("resize", drawSoon);
addEventListener("hashchange", choose);
choose();
