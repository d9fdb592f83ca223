// Runs before anything is drawn, so that a stored choice of colours does not flash.
try {
  const stored = localStorage.getItem("tepui.theme");
  if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
} catch {
  // No storage: the page follows the system.
}
