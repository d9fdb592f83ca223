// Whatever text the page draws passes here, so no name can turn the order of what stands around it.

import { options } from "preact";
import { printable } from "./format.mjs";

const spoken = ["title", "label", "aria-label"];
const before = options.vnode;

options.vnode = (vnode) => {
  const { type, props } = vnode;
  if (type === null && typeof props === "string") vnode.props = printable(props);
  if (typeof type === "string") {
    for (const name of spoken) if (typeof props[name] === "string") props[name] = printable(props[name]);
  }
  before?.(vnode);
};
