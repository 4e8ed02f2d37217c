// The secret of the link goes from behind the # into the form, and out of the address bar.
const secret = document.getElementById("secret");
if (secret && location.hash.length > 1) {
  secret.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
}
if (secret && !secret.value) document.getElementById("no-secret").hidden = false;
