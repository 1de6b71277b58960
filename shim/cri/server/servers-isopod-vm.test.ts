import { testServers } from './testing-servers.js';

await testServers('isopod-vm');
