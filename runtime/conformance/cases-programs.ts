import type { ConformanceCase } from './cases.js';
export const programCases: readonly ConformanceCase[] = [];
