// What the page uses of this library.

export default class uPlot {
  constructor(options: any, data: any, host: HTMLElement);
  over: HTMLElement;
  cursor: { left?: number };
  ctx: CanvasRenderingContext2D;
  bbox: { left: number; top: number; width: number; height: number };
  posToVal(position: number, scale: string): number;
  valToPos(value: number, scale: string, isCanvas?: boolean): number;
  setSize(size: { width: number; height: number }): void;
  redraw(rebuild?: boolean, recalculate?: boolean): void;
  destroy(): void;
}
