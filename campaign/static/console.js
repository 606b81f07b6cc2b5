/* The console's comforts. Forms, links and menus work without it. */
(function () {
  "use strict";
  var body = document.body;
  var spanish = document.documentElement.lang === "es";
  var words = spanish
    ? { away: "Cerrar", leave: "Hay cambios sin guardar.", kept: "Guardamos aquí lo que escribió la última vez.", restore: "Recuperarlo", drop: "Descartarlo", failed: "No funcionó. Inténtelo otra vez." }
    : { away: "Dismiss", leave: "There are unsaved changes.", kept: "We kept what you wrote here last time.", restore: "Bring it back", drop: "Throw it away", failed: "That did not work. Please try again." };

  function all(selector, root) { return Array.prototype.slice.call((root || document).querySelectorAll(selector)); }

  /* Toasts */
  function dismissable(toast) {
    if (toast.querySelector(".away")) return;
    var button = document.createElement("button");
    button.type = "button"; button.className = "away"; button.textContent = "×";
    button.setAttribute("aria-label", words.away);
    button.addEventListener("click", function () { toast.remove(); });
    toast.appendChild(button);
  }
  function toast(text, kind) {
    var place = document.getElementById("toasts");
    if (!place || !text) return;
    var box = document.createElement("div"), line = document.createElement("p");
    box.className = "toast " + (kind || "info");
    if (kind === "error") box.setAttribute("role", "alert");
    line.textContent = text;
    box.appendChild(line); dismissable(box); place.appendChild(box);
    while (place.children.length > 3) place.firstElementChild.remove();
  }
  body.addEventListener("toast", function (event) {           // HX-Trigger: {"toast": {"text": "…", "kind": "success"}}
    var detail = event.detail || {};
    toast(detail.text || detail.value, detail.kind);
  });

  /* htmx: the CSRF header, and an answer when a request fails */
  body.addEventListener("htmx:configRequest", function (event) {
    var meta = document.querySelector("meta[name=csrf-token]");
    if (meta) event.detail.headers["X-CSRF-Token"] = meta.content;
  });
  ["htmx:responseError", "htmx:sendError", "htmx:timeout"].forEach(function (name) {
    body.addEventListener(name, function () { toast(words.failed, "error"); });
  });

  /* Forms marked data-keep: a warning before leaving, and a draft for this tab */
  function values(form) {
    return JSON.stringify(all("input, textarea, select", form).filter(function (field) {
      return field.name && field.name !== "csrf_token" && ["hidden", "password", "file", "submit"].indexOf(field.type) < 0;
    }).map(function (field) {
      var multiple = field.type === "select-multiple" ? all("option", field).filter(function (o) { return o.selected; }).map(function (o) { return o.value; }) : null;
      return [field.name, field.type === "checkbox" || field.type === "radio" ? field.checked : multiple || field.value, field.value];
    }));
  }
  function restore(form, kept) {
    JSON.parse(kept).forEach(function (entry) {
      all("[name='" + CSS.escape(entry[0]) + "']", form).forEach(function (field) {
        if (field.type === "checkbox" || field.type === "radio") { if (field.value === entry[2]) field.checked = entry[1]; }
        else if (field.type === "select-multiple") all("option", field).forEach(function (o) { o.selected = entry[1].indexOf(o.value) >= 0; });
        else if (field.type !== "hidden" && field.type !== "file") field.value = entry[1];
      });
    });
    form.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function keep(form) {
    if (form.dataset.kept) return;
    form.dataset.kept = "1";
    var key = "draft:" + location.pathname + ":" + (form.id || form.getAttribute("action") || "");
    var start = values(form), timer, leaving = false, store = null;
    try { store = window.sessionStorage; } catch (error) { /* storage is off: the warning still works */ }
    var kept = store && store.getItem(key);
    if (kept && kept !== start && !form.querySelector("[aria-invalid]")) {
      var note = document.createElement("div");
      note.className = "draft-note notice"; note.setAttribute("role", "status");
      var line = document.createElement("span"); line.textContent = words.kept; note.appendChild(line);
      [[words.restore, function () { restore(form, kept); }], [words.drop, function () { store.removeItem(key); }]].forEach(function (way) {
        var button = document.createElement("button");
        button.type = "button"; button.className = "link"; button.textContent = way[0];
        button.addEventListener("click", function () { way[1](); note.remove(); });
        note.appendChild(button);
      });
      form.prepend(note);
    }
    form.addEventListener("input", function () {
      clearTimeout(timer);
      timer = setTimeout(function () { if (store) try { store.setItem(key, values(form)); } catch (error) { /* full */ } }, 400);
    });
    form.addEventListener("submit", function () { 
      leaving = true; clearTimeout(timer);
      if (store) try { store.setItem(key, values(form)); store.setItem("draft-sent", key); } catch (error) { /* full */ }
    });
    window.addEventListener("pageshow", function () { leaving = false; });
    window.addEventListener("beforeunload", function (event) {
      if (!leaving && document.contains(form) && values(form) !== start) { event.preventDefault(); event.returnValue = words.leave; }
    });
  }
  // A draft goes away when the page after sending it brings a message of success; an error page keeps it.
  function forget() {
    try {
      var sent = sessionStorage.getItem("draft-sent");
      sessionStorage.removeItem("draft-sent");
      if (sent && document.querySelector(".toast.success, .toast.undo, .toast.info")) sessionStorage.removeItem(sent);
    } catch (error) { /* storage is off */ }
  }

  /* Tables marked data-select */
  function selectable(table) {
    var master = table.querySelector("[data-select-all]");
    var boxes = function () { return all("tbody .check input[type=checkbox]", table); };
    var scope = table.closest("form") || table.closest("section") || document;
    var bar = scope.querySelector("[data-bulk]") || document.querySelector("[data-bulk]");
    var last = null, whole = bar && bar.querySelector("[data-whole]"), all_of = whole && whole.querySelector("input");
    function found() { return scope.querySelector("[data-found]"); }
    function show() {
      var every = boxes(), chosen = every.filter(function (box) { return box.checked; }).length;
      if (master) { master.checked = chosen > 0 && chosen === every.length; master.indeterminate = chosen > 0 && chosen < every.length; }
      if (!bar) return;
      var count = bar.querySelector("[data-bulk-count]");
      bar.hidden = chosen === 0;
      if (whole) {
        whole.hidden = chosen < every.length;
        if (whole.hidden) all_of.checked = false;
        if (found()) whole.querySelector("span").textContent = found().dataset.all;
      }
      if (count && whole && all_of.checked) count.textContent = found() ? found().dataset.chosen : whole.textContent;
      else if (count) count.textContent = chosen === 1 ? count.dataset.one : count.dataset.many.replace("{n}", chosen.toLocaleString(document.documentElement.lang));
    }
    table.addEventListener("change", function (event) {
      if (event.target === master) boxes().forEach(function (box) { box.checked = master.checked; });
      show();
    });
    table.addEventListener("click", function (event) {
      var every = boxes(), at = every.indexOf(event.target);
      if (at < 0) return;
      if (event.shiftKey && last !== null) every.slice(Math.min(at, last), Math.max(at, last) + 1).forEach(function (box) { box.checked = event.target.checked; });
      last = at; show();
    });
    if (whole) whole.addEventListener("change", show);
    if (whole) scope.addEventListener("htmx:afterSwap", show);
    show();
  }

  /* Menus made of <details>: Escape and a click elsewhere close them, one open at a time */
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") return;
    var open = document.activeElement && document.activeElement.closest("details.pop[open], details.drawer[open], details.confirm[open]");
    if (open) { open.open = false; open.querySelector("summary").focus(); }
  });
  document.addEventListener("click", function (event) {
    all("details.pop[open]").forEach(function (menu) { if (!menu.contains(event.target)) menu.open = false; });
    var opener = event.target.closest("[data-dialog]");
    if (opener) { var dialog = document.getElementById(opener.dataset.dialog); if (dialog && dialog.showModal) { event.preventDefault(); dialog.showModal(); } }
    if (event.target.closest("[data-close]")) { var near = event.target.closest("dialog"); if (near) near.close(); }
    var copy = event.target.closest("[data-copy]");
    if (copy && navigator.clipboard) {
      var source = copy.dataset.copy ? document.querySelector(copy.dataset.copy) : copy.parentElement.querySelector("[data-copy-source]");
      navigator.clipboard.writeText(source.value || source.textContent).then(function () { toast(copy.dataset.done || "✓", "success"); });
    }
  });

  /* Fields that send their form at once: <select data-auto> */
  document.addEventListener("change", function (event) {
    if (event.target.matches("[data-auto]")) event.target.form.requestSubmit();
  });

  /* On a narrow screen sections run on to the side: the one we are in must be seen */
  all(".tabs [aria-current]").forEach(function (tab) {
    var bar = tab.closest(".tabs"), room = bar.clientWidth - tab.offsetWidth;
    bar.scrollLeft = tab.getBoundingClientRect().left - bar.getBoundingClientRect().left + bar.scrollLeft - room / 2;
  });

  function prepare(root) {
    all("[data-toast]", root).forEach(dismissable);
    all("form[data-keep]", root).forEach(keep);
    all("table[data-select]", root).forEach(selectable);
    all("[data-copy]", root).forEach(function (button) { button.hidden = !navigator.clipboard; });
  }
  forget();
  prepare(document);
  body.addEventListener("htmx:afterSwap", function (event) { prepare(event.target); });
  var wrong = document.querySelector("[aria-invalid=true]");
  if (wrong && document.activeElement === body) wrong.focus();
})();
