import { testCommands } from './testing-commands.js';

testCommands('isopod serve');
