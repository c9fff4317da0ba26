// What the page uses of this library.

interface Curve {
  lineStart(): void;
  lineEnd(): void;
  point(x: number, y: number): void;
}
interface CurveMaker {
  alpha(alpha: number): (context: any) => Curve;
}
export declare const curveCatmullRom: CurveMaker;
export declare const curveCatmullRomClosed: CurveMaker;
