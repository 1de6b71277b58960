import { testCommands } from './testing-commands.js';

testCommands('containerd');
