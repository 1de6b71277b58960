import { testOverview } from './testing-commands.js';

testOverview('containerd');
