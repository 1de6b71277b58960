import type { ConformanceCase } from './cases.js';
export const toolCases: readonly ConformanceCase[] = [];
