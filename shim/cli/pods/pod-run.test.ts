import { testPodRun } from './testing-pod-run.js';

testPodRun('isopod serve');
