/**
 * Where the loader and what is reserved for the ring lane lie in every guest's address space: native/plan.h. The guest is not shown them.
 */

/** ISOPOD_LOADER_BASE; its text and data end well within LOADER_BYTES. */
export const LOADER_BASE = 0x680000000000;
export const LOADER_BYTES = 0x100000;
/** ISOPOD_RING_TABLE, ISOPOD_RING_AREA. */
export const RING_TABLE = 0x10000;
export const RING_TABLE_BYTES = 0x1000;
export const RING_AREA = 0x67ff00000000;
export const RING_AREA_BYTES = 0x10000000;
