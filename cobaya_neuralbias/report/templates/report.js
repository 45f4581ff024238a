"use strict";
(function () {
  const slabs = JSON.parse(document.getElementById("slabs").textContent);
  const slider = document.getElementById("slab");
  const section = document.getElementById("slices");
  const pictures = Array.from(document.querySelectorAll("img.slice"));
  const texts = pictures.map((picture) => picture.alt);
  const count = slabs.limits.length - 1;

  function show() {
    const i = Number(slider.value);
    const [low, high] = [slabs.limits[i].toFixed(1), slabs.limits[i + 1].toFixed(1)];
    const where = `${i + 1} of ${count}: z = ${low} to ${high} Mpc/h`;
    document.getElementById("where").textContent = where;
    slider.setAttribute("aria-valuetext", where);
    pictures.forEach((picture, j) => {
      picture.src = "data:image/png;base64," + slabs.images[picture.dataset.panel][i];
      picture.alt = `${texts[j]}; slab ${where}`;
    });
  }

  function step(by) {
    slider.value = Math.min(count - 1, Math.max(0, Number(slider.value) + by));
    show();
  }

  slider.addEventListener("input", show);
  document.getElementById("back").addEventListener("click", () => step(-1));
  document.getElementById("on").addEventListener("click", () => step(1));
  // Arrow keys page while the slices are on the screen, wherever the focus is. The slider has its own.
  document.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const box = section.getBoundingClientRect();
    const seen = box.top < window.innerHeight / 2 && box.bottom > window.innerHeight / 4;
    if (!by || !seen || event.target === slider || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    step(by);
  });

  document.querySelectorAll("button.enlarge").forEach((button) => {
    button.addEventListener("click", () => {
      const large = button.closest("figure").classList.toggle("enlarged");
      button.textContent = large ? "Fit" : "Enlarge";
      button.setAttribute("aria-pressed", String(large));
    });
  });

  // Paper cannot be unfolded.
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((part) => { part.open = true; });
  });
  show();
})();
