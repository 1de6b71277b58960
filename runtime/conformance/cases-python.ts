import type { ConformanceCase } from './cases.js';
export const pythonCases: readonly ConformanceCase[] = [];
