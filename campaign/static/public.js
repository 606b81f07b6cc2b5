/* Small comforts for public pages. Every page works without this file. */
(function () {
  "use strict";
  document.querySelectorAll("[data-copy]").forEach(function (button) {
    if (!navigator.clipboard) return;
    var label = button.textContent;
    button.hidden = false;
    button.addEventListener("click", function () {
      var source = button.parentElement.querySelector("[data-copy-source]");
      navigator.clipboard.writeText(source.value || source.textContent).then(function () {
        button.textContent = button.dataset.done;
        setTimeout(function () { button.textContent = label; }, 4000);
      }, function () { source.select && source.select(); });
    });
  });

  // Browsers pass over autofocus where the address has a fragment, as a posted petition's has.
  var wrong = location.hash && document.querySelector("[autofocus]");
  if (wrong) window.addEventListener("load", function () {
    setTimeout(function () { if (document.activeElement === document.body) wrong.focus(); });
  });

  // The sticky button goes away while the form it leads to is in view. It keeps its room: a page
  // that grew shorter would move what somebody is just about to press.
  var stick = document.querySelector(".stick");
  var form = stick && document.querySelector((stick.querySelector("a[href^='#']") || {}).hash || "#sign");
  if (form && "IntersectionObserver" in window) {
    new IntersectionObserver(function (entries) {
      stick.classList.toggle("away", entries[0].isIntersecting);
    }, { rootMargin: "0px 0px -45% 0px" }).observe(form);
  }

  // A capability page drops its token from the address bar and the history.
  var clean = document.querySelector("meta[name=clean-url]");
  if (clean && history.replaceState) history.replaceState(null, "", clean.content);

  // One press, one request.
  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (event.defaultPrevented || (form.method || "").toLowerCase() !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    setTimeout(function () { delete form.dataset.sent; }, 8000);
  });
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-sent]").forEach(function (form) { delete form.dataset.sent; });
  });
})();
