// The secret of the link goes from behind the # into the form, and out of the address bar.
const secret = document.getElementById("secret");
const missing = document.getElementById("no-secret");

function take() {
  if (location.hash.length > 1) {
    secret.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
  }
  missing.hidden = secret.value !== "";
}

addEventListener("hashchange", take);
take();
