/** Node's own fast paths for byte strings, which its types leave out (lib/internal/buffer.js). */
interface Buffer {
	latin1Slice(start?: number, end?: number): string;
	latin1Write(text: string, offset?: number, length?: number): number;
}
