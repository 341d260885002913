// Search without a server: over the list that the page holds. Without this script all tools are listed.
"use strict";

(() => {
  const form = document.querySelector(".search");
  const input = document.getElementById("words");
  const count = document.getElementById("count");
  const all = document.getElementById("all");
  const found = document.getElementById("found");
  const list = found.querySelector("ul");
  const tools = [...all.querySelectorAll("li")].map((item) => ({
    item,
    name: item.dataset.name,
    words: item.dataset.words.toLowerCase().split(/[^a-z0-9]+/).filter(Boolean),
    text: `${item.dataset.words} ${item.textContent}`.toLowerCase(),
    summary: item.querySelector("span").textContent.toLowerCase().split(/[^a-z0-9]+/),
  }));

  // Letters to put in, take out, replace or swap with the next.
  function distance(one, other) {
    let above = [];
    let before = [];
    let row = Array.from({ length: other.length + 1 }, (_, at) => at);
    for (let at = 1; at <= one.length; at += 1) {
      above = before;
      before = row;
      row = [at];
      for (let place = 1; place <= other.length; place += 1) {
        let cost = Math.min(
          row[place - 1] + 1,
          before[place] + 1,
          before[place - 1] + (one[at - 1] === other[place - 1] ? 0 : 1),
        );
        if (at > 1 && place > 1 && one[at - 1] === other[place - 2] && one[at - 2] === other[place - 1]) {
          cost = Math.min(cost, above[place - 2] + 1);
        }
        row.push(cost);
      }
    }
    return row[other.length];
  }

  function worth(tool, word) {
    if (tool.name === word) return 100;
    if (tool.name.startsWith(word)) return 60;
    if (tool.name.includes(word)) return 40;
    if (tool.words.includes(word)) return 30;
    if (tool.words.some((one) => one.startsWith(word))) return 15;
    if (tool.summary.includes(word)) return 12;
    return tool.text.includes(word) ? 5 : 0;
  }

  function nearly(tool, word) {
    if (word.length < 4) return 0;
    const limit = word.length < 7 ? 1 : 2;
    const near = [tool.name, ...tool.words, ...tool.summary].some(
      (one) => Math.abs(one.length - word.length) <= limit && distance(word, one) <= limit,
    );
    return near ? 3 : 0;
  }

  function scores(word) {
    const exact = tools.map((tool) => worth(tool, word));
    return exact.some(Boolean) ? exact : tools.map((tool) => nearly(tool, word));
  }

  function show() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    found.hidden = words.length === 0;
    all.hidden = words.length > 0;
    list.replaceChildren();
    if (words.length === 0) {
      count.textContent = "";
      return;
    }
    const each = words.map(scores);
    const hits = tools
      .map((tool, at) => ({ tool, scores: each.map((one) => one[at]) }))
      .filter((hit) => hit.scores.every(Boolean))
      .map((hit) => ({ tool: hit.tool, score: hit.scores.reduce((sum, one) => sum + one, 0) }))
      .sort((one, other) => other.score - one.score || (one.tool.name < other.tool.name ? -1 : 1));
    list.append(...hits.map((hit) => hit.tool.item.cloneNode(true)));
    count.textContent = hits.length === 1 ? "1 tool" : `${hits.length} tools`;
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", show);
  input.value = new URLSearchParams(location.search).get("q") ?? input.value;
  show();
})();
