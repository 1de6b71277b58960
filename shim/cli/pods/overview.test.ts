import { testOverview } from './testing-commands.js';

testOverview('isopod serve');
