import { CONTAINER_CASES } from './cases-containers.js';
import { IMAGE_CASES } from './cases-images.js';
import { POD_CASES } from './cases-pods.js';
import { SECURITY_CASES } from './cases-security.js';
import { VOLUME_CASES } from './cases-volumes.js';
import type { Case } from './suite.js';

/** All of CRI's documented behaviours that the suite knows. */
export const CASES: readonly Case[] = [...POD_CASES, ...CONTAINER_CASES, ...SECURITY_CASES, ...VOLUME_CASES, ...IMAGE_CASES];
