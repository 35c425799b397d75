"use strict";

// On a narrow screen the menu is closed until it is asked for.
const menu = document.querySelector("details.menu");
const narrow = matchMedia("(max-width: 54rem)");
const fold = () => (menu.open = !narrow.matches);
narrow.addEventListener("change", fold);
fold();

// Copying a session takes what is typed, not what is printed.
const typed = (text) => text.split("\n").filter((line) => line.startsWith("$ ")).map((line) => line.slice(2)).join("\n");

for (const pre of document.querySelectorAll("main pre")) {
  let box = pre.closest(".code");
  if (!box) {
    box = document.createElement("div");
    box.className = "framed";
    pre.replaceWith(box);
    box.append(pre);
  }
  const button = document.createElement("button");
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const text = pre.textContent;
    await navigator.clipboard.writeText(typed(text) || text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  box.append(button);
}

const query = document.getElementById("query");
const results = document.getElementById("results");

// The index is loaded when somebody searches, and then once.
let loading;
const index = () => (loading ??= new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = query.dataset.index;
  script.onload = () => resolve(window.searchIndex);
  script.onerror = () => reject(new Error("the search index cannot be loaded"));
  document.head.append(script);
}));

// A word in a title counts more than one in a heading, and that more than one in
// the text. Every word must be there.
const rank = (page, words) => {
  const title = page.title.toLowerCase(), text = page.text.toLowerCase();
  const heading = page.headings.find((h) => words.every((w) => h.title.toLowerCase().includes(w)));
  if (!words.every((w) => title.includes(w) || text.includes(w))) return null;
  const at = text.indexOf(words[0]);
  return {
    score: words.filter((w) => title.includes(w)).length * 10 + (heading ? 5 : 0) + Math.min(text.split(words[0]).length, 20) / 10,
    url: heading ? `${page.url}#${heading.id}` : page.url,
    title: heading && heading.title !== page.title ? `${page.title}: ${heading.title}` : page.title,
    text: page.text.slice(Math.max(at - 40, 0), at + 100),
  };
};

const search = async () => {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  results.hidden = words.length === 0;
  if (words.length === 0) return;
  const found = (await index()).map((page) => rank(page, words)).filter(Boolean).sort((a, b) => b.score - a.score);
  results.replaceChildren(...found.slice(0, 10).map((hit) => {
    const item = document.createElement("li"), link = document.createElement("a"), text = document.createElement("small");
    link.href = hit.url;
    link.textContent = hit.title;
    text.textContent = hit.text;
    link.append(text);
    item.append(link);
    return item;
  }));
  if (found.length === 0) {
    const item = document.createElement("li"), nothing = document.createElement("p");
    nothing.textContent = "Nothing found.";
    item.append(nothing);
    results.append(item);
  }
};

query.addEventListener("input", search);
query.addEventListener("keydown", (event) => {
  if (event.key === "Enter") results.querySelector("a")?.click();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") results.hidden = true;
  if (event.key === "/" && document.activeElement !== query) {
    event.preventDefault();
    query.focus();
  }
});
document.addEventListener("click", (event) => {
  if (!event.target.closest("search")) results.hidden = true;
});

// A link can carry a search: state.html?q=etag.
query.value = new URLSearchParams(location.search).get("q") ?? "";
search();
