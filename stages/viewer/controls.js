// Controls that every page has: a choice of one among several, and the theme.

// Options are [key, name, usable]; `pick` is called with the key that was chosen.
function radios(box, options, value, pick) {
  const focused = box.contains(document.activeElement);
  box.hidden = options.length < 2;
  const buttons = options.map(([key, name, usable]) => {
    const button = make("button", { type: "button", role: "radio", "aria-checked": String(key === value), tabindex: key === value ? "0" : "-1", onclick: () => pick(key) }, name);
    button.disabled = !usable;
    return button;
  });
  box.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const usable = options.filter((option) => option[2]), at = usable.findIndex((option) => option[0] === value);
    pick(usable[(at + step + usable.length) % usable.length][0]);
  };
  box.replaceChildren(...buttons);
  if (focused) buttons.find((b) => b.getAttribute("aria-checked") === "true")?.focus();
}

// Dark or light: as the system has it until the reader chooses; `changed` is called whenever it is set.
function theme(changed) {
  const root = document.documentElement, system = window.matchMedia("(prefers-color-scheme: dark)");
  let kept = null;
  try { kept = localStorage.getItem("activation-atlas-theme"); } catch { /* storage may be closed to files */ }
  const apply = () => { root.dataset.theme = kept ?? (system.matches ? "dark" : "light"); changed(); };
  system.addEventListener("change", apply);
  $("theme").addEventListener("click", () => {
    kept = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("activation-atlas-theme", kept); } catch { /* the choice lasts as long as the page */ }
    apply();
  });
  apply();
}
