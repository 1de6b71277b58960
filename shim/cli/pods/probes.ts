import { type ActionTarget, act } from './actions.js';
import type { Probe } from './pod.js';

/** kubelet's, where the pod says nothing. */
const DEFAULTS = { initialDelaySeconds: 0, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 };

export interface ProbeEvents {
	/** One probe failed; how many have done so in a row. */
	onFailure(kind: ProbeKind, message: string): void;
	/** The startup probe has passed. */
	onStarted(): void;
	onReady(isReady: boolean): void;
	/** The container is to be killed: it did not start, or no longer lives. */
	onDead(kind: ProbeKind): void;
}

export type ProbeKind = 'Startup' | 'Liveness' | 'Readiness';

/** The probes of one running container; the startup probe holds the others back until it has passed. */
export class Probes {
	private readonly timers = new Set<NodeJS.Timeout>();
	private isStopped = false;

	constructor(
		private readonly target: ActionTarget,
		private readonly events: ProbeEvents,
	) {
		const { startupProbe, readinessProbe } = target.container;
		if (readinessProbe === undefined && startupProbe === undefined) events.onReady(true);
		if (startupProbe === undefined) this.goOn();
		else this.watch('Startup', startupProbe);
	}

	stop(): void {
		this.isStopped = true;
		for (const timer of this.timers) clearTimeout(timer);
	}

	private goOn(): void {
		const { livenessProbe, readinessProbe, startupProbe } = this.target.container;
		this.events.onStarted();
		if (livenessProbe !== undefined) this.watch('Liveness', livenessProbe);
		if (readinessProbe !== undefined) this.watch('Readiness', readinessProbe);
		else if (startupProbe !== undefined) this.events.onReady(true);
	}

	private watch(kind: ProbeKind, probe: Probe): void {
		const { initialDelaySeconds, timeoutSeconds, periodSeconds, successThreshold, failureThreshold } = { ...DEFAULTS, ...probe };
		let inARow = 0;
		let last: boolean | null = null;
		const once = async (): Promise<void> => {
			const message = await act(probe, this.target, timeoutSeconds * 1000);
			if (this.isStopped) return;
			const isGood = message === null;
			inARow = isGood === last ? inARow + 1 : 1;
			last = isGood;
			if (!isGood) this.events.onFailure(kind, message);
			if (isGood && inARow >= successThreshold) {
				if (kind === 'Readiness') this.events.onReady(true);
				if (kind === 'Startup') {
					this.goOn();
					return;
				}
			}
			if (!isGood && inARow >= failureThreshold) {
				if (kind === 'Readiness') this.events.onReady(false);
				else {
					this.stop();
					this.events.onDead(kind);
					return;
				}
			}
			this.later(once, periodSeconds * 1000);
		};
		this.later(once, initialDelaySeconds * 1000);
	}

	private later(action: () => Promise<void>, ms: number): void {
		const timer = setTimeout(() => {
			this.timers.delete(timer);
			action().catch(() => undefined);
		}, ms);
		this.timers.add(timer);
	}
}
