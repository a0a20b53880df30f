/** The present, to the second, for texts such as "14 min ago". Stands still while the page is hidden. */
class Now {
  ms = $state(Date.now());

  /** Keep it up to date; returns what stops that. */
  start(): () => void {
    const timer = setInterval(() => {
      if (!document.hidden) this.ms = Date.now();
    }, 1000);
    return () => clearInterval(timer);
  }
}

export const now = new Now();
