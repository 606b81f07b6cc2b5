/* Saves a long text while it is written. The page works without this file: it has a button. */
(function () {
  "use strict";
  document.querySelectorAll("form[data-autosave]").forEach(function (form) {
    if (!window.fetch || !window.FormData) return;
    var area = form.querySelector("textarea");
    var state = form.querySelector("[data-state]");
    var length = form.querySelector("[data-length]");
    var warning = form.querySelector("[data-warning]");
    var saved = area.value, timer = null, busy = false;

    function say(text) { state.textContent = text ? " · " + text : ""; }

    function later(wait) {
      clearTimeout(timer);
      timer = setTimeout(save, wait);
    }

    function save() {
      if (busy) return later(1000);
      var text = area.value;
      if (text === saved) return;
      busy = true;
      say(form.dataset.saving);
      fetch(form.action, {
        method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin",
        headers: { "Accept": "application/json" }
      }).then(function (response) {
        return response.json().then(function (answer) {
          if (!response.ok) throw new Error(answer.error || "");
          return answer;
        });
      }).then(function (answer) {
        busy = false;
        saved = text;
        say(form.dataset.saved);
        length.textContent = answer.length;
        warning.textContent = answer.warning;
        warning.hidden = !answer.warning;
        document.querySelectorAll("input[name=csrf_token]").forEach(function (field) { field.value = answer.token; });
        if (area.value !== saved) later(2000);
      }).catch(function (error) {
        busy = false;
        say(error.message && error.name === "Error" ? error.message : form.dataset.failed);
        later(15000);
      });
    }

    area.addEventListener("input", function () { say(""); later(2000); });
    area.addEventListener("blur", function () { later(0); });
    form.addEventListener("submit", function () { clearTimeout(timer); saved = area.value; });
    window.addEventListener("beforeunload", function (event) {
      if (area.value !== saved) event.preventDefault();
    });
  });
})();
