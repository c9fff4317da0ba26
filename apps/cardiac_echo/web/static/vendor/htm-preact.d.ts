// What the page uses of this library.

export declare function html(strings: TemplateStringsArray, ...values: any[]): any;
export declare function render(tree: any, host: Element): void;
export declare function useEffect(effect: () => void | (() => void), inputs?: any[]): void;
export declare function useMemo<T>(make: () => T, inputs: any[]): T;
export declare function useRef<T>(initial: T): { current: T };
export declare function useState<T>(initial: T): [T, (value: T) => void];
