// Tests that are for any sandbox once more, with containers in virtual machines.
process.env['ISOPOD_TEST_HANDLER'] = 'isopod-vm';
await import('./interactive.test.js');
