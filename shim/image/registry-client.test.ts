import { test } from 'tap';
import { parseReference } from './reference.js';
import { RegistryClient } from './registry-client.js';

/** Counts the waits before another try. */
class Impatient extends RegistryClient {
	waits = 0;

	override async backOff(): Promise<void> {
		this.waits++;
	}
}

test('a registry that nobody answers for is asked once more, and then told as such', async (t) => {
	const client = new Impatient(null, { attempts: 5, registries: { 'docker.io': { url: 'http://127.0.0.1:1' } } });
	t.teardown(() => client.close());
	await t.rejects(client.manifest(parseReference('app:1')), { code: 'ECONNREFUSED', message: /127\.0\.0\.1:1/ });
	t.equal(client.waits, 1);
});
