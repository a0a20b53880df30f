import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

/** The style of each class that tells a component apart. */
const styles = new Map();

/** Five characters, as each stands in many class attributes. Throws where two styles share them: change one of the two. */
function cssHash({ hash, css, filename }) {
  const name = `s${hash(css).slice(-5)}`;
  if ((styles.get(name) ?? css) !== css) throw new Error(`${filename}: another component has the class ${name} too`);
  styles.set(name, css);
  return name;
}

export default {
  preprocess: vitePreprocess(),
  compilerOptions: { runes: true, cssHash },
};
