// What the page uses of this library.

export declare function tinykeys(target: Window | HTMLElement, bindings: Record<string, (event: KeyboardEvent) => void>): () => void;
