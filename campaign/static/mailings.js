/* Writing a mailing: buttons that put Markdown at the cursor, and a preview that follows the text.
   Without this file the text is typed as it is, and a button shows the preview. */
(function () {
  "use strict";
  function all(selector, root) { return Array.prototype.slice.call((root || document).querySelectorAll(selector)); }

  /* The frame: a new one for each load, so that the back button stays the page's own */
  var frames = document.querySelector(".frames");
  function view() {
    var chosen = document.querySelector("input[name=view]:checked");
    return chosen ? chosen.value : "desktop";
  }
  function load(send) {
    var old = frames.querySelector("iframe:not(.coming)");
    all("iframe.coming", frames).forEach(function (late) { late.remove(); });
    var next = old.cloneNode(false);
    next.removeAttribute("src");
    next.name = "preview-" + Date.now();
    next.classList.add("coming");
    next.classList.toggle("phone-width", view() === "phone");
    frames.appendChild(next);
    next.addEventListener("load", function () {
      if (!next.classList.contains("coming")) return;
      next.classList.remove("coming");
      if (old.parentNode) old.remove();
    });
    send(next);
  }

  /* A saved message: the frame has an address */
  var saved = document.querySelector("[data-frame-form]");
  if (saved) {
    saved.querySelector("[data-preview-button]").hidden = true;
    saved.addEventListener("change", function () {
      load(function (frame) { frame.src = saved.getAttribute("action") + "?" + new URLSearchParams(new FormData(saved)); });
    });
  }

  /* A text being written: the form goes to the frame, and nowhere else */
  var form = document.querySelector("[data-compose]");
  if (!form) return;
  var timer;
  function preview() {
    load(function (frame) {
      var target = form.target, action = form.getAttribute("action");
      form.target = frame.name;
      form.action = frames.dataset.frames;
      HTMLFormElement.prototype.submit.call(form);   // no submit event: nothing is being saved
      form.target = target;
      if (action === null) form.removeAttribute("action"); else form.setAttribute("action", action);
    });
  }
  document.querySelector("[data-preview-button]").hidden = true;
  form.addEventListener("input", function () { clearTimeout(timer); timer = setTimeout(preview, 700); });
  all("[data-preview-again]").forEach(function (field) { field.addEventListener("change", preview); });
  preview();

  /* Markdown at the cursor. execCommand keeps the browser's own undo. */
  var bar = document.querySelector("[data-toolbar]");
  if (!bar) return;
  var area = document.getElementById(bar.dataset.toolbar);
  var format = document.getElementById("format");
  function shape() { bar.hidden = !!format && format.value === "html"; }   // its marks are for text
  shape();
  if (format) format.addEventListener("change", shape);
  area.setSelectionRange(area.value.length, area.value.length);   // until somebody puts the cursor elsewhere
  function put(text, from, to, into) {
    var field = into || area;
    field.focus();
    if (!document.execCommand || !document.execCommand("insertText", false, text)) {
      field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    if (from !== undefined) area.setSelectionRange(from, to);
  }
  function wrap(mark, empty) {
    var start = area.selectionStart, inside = area.value.slice(start, area.selectionEnd) || empty;
    put(mark + inside + mark, start + mark.length, start + mark.length + inside.length);
  }
  function lines(mark) {
    var start = area.value.lastIndexOf("\n", area.selectionStart - 1) + 1, end = area.selectionEnd;
    var text = area.value.slice(start, end).split("\n").map(function (line) { return mark + line; }).join("\n");
    area.setSelectionRange(start, end);
    put(text);
  }
  function link(empty) {
    var start = area.selectionStart, inside = area.value.slice(start, area.selectionEnd) || empty;
    put("[" + inside + "](https://)", start + inside.length + 3, start + inside.length + 11);
  }
  function block(text) {
    var before = area.value.slice(0, area.selectionStart), after = area.value.slice(area.selectionEnd);
    var head = !before || /\n\n$/.test(before) ? "" : /\n$/.test(before) ? "\n" : "\n\n";
    var tail = !after || /^\n\n/.test(after) ? "" : /^\n/.test(after) ? "\n" : "\n\n";
    var at = before.length + head.length;
    put(head + text + tail);
    var first = text.indexOf(": ") + 2, end = text.indexOf("\n", first);   // what to change first
    if (/^:::/.test(text) && first > 1 && end > first) area.setSelectionRange(at + first, at + end);
  }
  /* A merge field into another field than the text */
  all("[data-fields]").forEach(function (menu) {
    if (bar.contains(menu)) return;
    var line = document.getElementById(menu.dataset.fields);
    menu.hidden = false;
    line.setSelectionRange(line.value.length, line.value.length);
    menu.addEventListener("click", function (event) {
      var button = event.target.closest("button");
      if (!button) return;
      menu.open = false;
      put(button.dataset.insert, undefined, undefined, line);
    });
  });
  bar.addEventListener("click", function (event) {
    var button = event.target.closest("button");
    if (!button) return;
    var data = button.dataset, menu = button.closest("details");
    if (menu) menu.open = false;
    if (data.wrap) wrap(data.wrap, data.empty);
    else if (data.line) lines(data.line);
    else if (data.link !== undefined) link(data.empty);
    else if (data.block) block(data.block);
    else if (data.insert) put(data.insert);
  });
  area.addEventListener("keydown", function (event) {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    var button = { b: "[data-wrap='**']", i: "[data-wrap='*']", k: "[data-link]" }[event.key];
    if (button) { event.preventDefault(); bar.querySelector(button).click(); }
  });
})();
