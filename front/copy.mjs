// Copies the fonts and scripts that the pages use from node_modules to
// internal/view/assets, from where they are embedded into the program. Nothing
// is bundled or rewritten: what is served is byte for byte what npm delivered
// and package-lock.json pins.
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const plex = "@ibm/plex-sans-arabic/fonts/complete/woff2/IBMPlexSansArabic";

const files = {
  "htmx.min.js": "htmx.org/dist/htmx.min.js",
  "htmx.LICENSE.txt": "htmx.org/LICENSE",
  "plex-arabic-400.woff2": `${plex}-Regular.woff2`,
  "plex-arabic-600.woff2": `${plex}-SemiBold.woff2`,
  "plex-arabic.LICENSE.txt": "@ibm/plex-sans-arabic/LICENSE.txt",
  "plex-latin-ext-400.woff2": "@fontsource/ibm-plex-sans/files/ibm-plex-sans-latin-ext-400-normal.woff2",
  "plex-latin-ext-600.woff2": "@fontsource/ibm-plex-sans/files/ibm-plex-sans-latin-ext-600-normal.woff2",
  "plex-latin-ext.LICENSE.txt": "@fontsource/ibm-plex-sans/LICENSE",
  "naskh-400.woff2": "@fontsource/noto-naskh-arabic/files/noto-naskh-arabic-arabic-400-normal.woff2",
  "naskh-600.woff2": "@fontsource/noto-naskh-arabic/files/noto-naskh-arabic-arabic-600-normal.woff2",
  "naskh.LICENSE.txt": "@fontsource/noto-naskh-arabic/LICENSE",
  "serif-400.woff2": "@fontsource/source-serif-4/files/source-serif-4-latin-400-normal.woff2",
  "serif-600.woff2": "@fontsource/source-serif-4/files/source-serif-4-latin-600-normal.woff2",
  "serif-ext-400.woff2": "@fontsource/source-serif-4/files/source-serif-4-latin-ext-400-normal.woff2",
  "serif-ext-600.woff2": "@fontsource/source-serif-4/files/source-serif-4-latin-ext-600-normal.woff2",
  "serif.LICENSE.txt": "@fontsource/source-serif-4/LICENSE",
};

const into = join(root, "internal", "view", "assets");
mkdirSync(into, { recursive: true });
for (const [name, from] of Object.entries(files)) {
  copyFileSync(join(root, "node_modules", from), join(into, name));
}
console.log(`${Object.keys(files).length} files copied to internal/view/assets`);
