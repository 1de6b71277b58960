import type { ConformanceCase } from './cases.js';
export const coreutilsCases: readonly ConformanceCase[] = [];
