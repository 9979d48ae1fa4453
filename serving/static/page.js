// Everything here is extra: each page works without it.
"use strict";

/** Suggestions under the search box: the ARIA combobox pattern with a listbox. */
function suggest(input) {
  const list = document.getElementById("suggestions");
  const said = document.getElementById("suggestions-said");
  let timer = 0, asked = 0, active = -1;
  for (const [name, value] of Object.entries({
    role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
  })) input.setAttribute(name, value);

  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = (place) => {
    const options = [...list.children];
    if (!options.length) return;
    active = (place + options.length) % options.length;
    options.forEach((option, index) => option.setAttribute("aria-selected", String(index === active)));
    options[active].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", options[active].id);
  };
  const go = (option) => { window.location.assign(`/movies/${option.dataset.film}`); };
  const show = (films) => {
    list.replaceChildren(...films.map((film, index) => {
      const option = document.createElement("li");
      option.id = `suggestion-${index}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      option.dataset.film = film.tmdb_id;
      const title = document.createElement("span");
      title.dir = "auto";
      title.textContent = film.title;
      const year = document.createElement("span");
      year.className = "dim";
      year.textContent = film.year ? ` ${film.year}` : "";
      option.append(title, year);
      option.addEventListener("mousedown", (event) => { event.preventDefault(); go(option); });
      return option;
    }));
    active = -1;
    input.removeAttribute("aria-activedescendant");
    list.hidden = !films.length;
    input.setAttribute("aria-expanded", String(films.length > 0));
    said.textContent = films.length ? `${films.length} film${films.length === 1 ? "" : "s"}. Use the arrow keys.` : "No film fits yet.";
  };
  const ask = async () => {
    const text = input.value.trim();
    const mine = ++asked;
    if (text.length < 2) { close(); said.textContent = ""; return; }
    try {
      const answer = await fetch(`${input.dataset.suggest}?limit=8&q=${encodeURIComponent(text)}`);
      if (!answer.ok) throw new Error(String(answer.status));
      const { movies } = await answer.json();
      if (mine === asked && document.activeElement === input) show(movies);
    } catch {
      close(); // the form still works
    }
  };
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 150); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (list.hidden) { ask(); } else { mark(active + (event.key === "ArrowDown" ? 1 : active < 0 ? 0 : -1)); }
      event.preventDefault();
    } else if (event.key === "Enter" && active >= 0 && !list.hidden) {
      event.preventDefault();
      go(list.children[active]);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    }
  });
}

/** What if: ask in place instead of loading the page again, and at each step of the number of women. */
function imagine(form) {
  const answer = form.querySelector("[data-what-if-answer]");
  const needles = form.querySelectorAll("[data-needle]");
  const slider = form.elements.women;
  const shown = form.querySelector("[data-women]");
  let timer = 0, asked = 0;
  shown.hidden = false;
  form.querySelector("[data-count]").hidden = true;

  const ask = async (preset) => {
    const mine = ++asked;
    const body = new URLSearchParams(new FormData(form));
    body.set("preset", preset);
    answer.textContent = "Asking the model …";
    let said, isGood = false;
    try {
      const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      said = await response.json();
      isGood = response.ok;
    } catch {
      said = { detail: "The server did not answer. Try again." };
    }
    if (mine !== asked) return; // the answer to a later question is on its way
    answer.textContent = isGood ? said.text : said.detail;
    if (!isGood) return;
    shown.value = slider.value = said.women;
    for (const needle of needles) {
      for (const name of ["x1", "x2", "cx"]) if (needle.hasAttribute(name)) needle.setAttribute(name, `${said.at}%`);
    }
    for (const [position, gender] of Object.entries(said.genders)) {
      const choice = form.elements[`gender_${position}`];
      if (choice) choice.value = gender;
    }
  };
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("data-whole-page")) return;
    event.preventDefault();
    ask(event.submitter?.value ?? "");
  });
  slider.addEventListener("input", () => {
    shown.value = slider.value;
    clearTimeout(timer);
    timer = setTimeout(ask, 80, "count");
  });
  form.addEventListener("change", (event) => { if (event.target.matches("select")) ask(""); });
}

/** A poster that does not come leaves the drawn one. */
function replacePoster(image) {
  const remove = () => image.remove();
  if (image.complete && !image.naturalWidth) remove();
  image.addEventListener("error", remove);
}

/** Copy the link of an answer. */
function copy(button) {
  const input = document.getElementById(button.dataset.copy);
  const copied = document.querySelector("[data-copied]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    input.select();
    try {
      await navigator.clipboard.writeText(input.value);
      copied.textContent = "Copied.";
    } catch {
      copied.textContent = "Selected: copy it with Ctrl+C.";
    }
  });
}

/** Where the decades do not fit, the newest are in sight. */
function showNewest(box) {
  box.scrollLeft = box.scrollWidth;
}

document.querySelectorAll("[data-suggest]").forEach(suggest);
document.querySelectorAll("[data-what-if]").forEach(imagine);
document.querySelectorAll("[data-copy]").forEach(copy);
document.querySelectorAll("[data-poster]").forEach(replacePoster);
document.querySelectorAll(".grid-box").forEach(showNewest);
