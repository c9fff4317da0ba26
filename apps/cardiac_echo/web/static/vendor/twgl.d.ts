// The few functions of twgl.js that the pages use.
export const m4: {
  identity(): Float32Array; multiply(a: Float32Array, b: Float32Array): Float32Array;
  perspective(angle: number, aspect: number, near: number, far: number): Float32Array;
  lookAt(eye: number[], target: number[], up: number[]): Float32Array; inverse(m: Float32Array): Float32Array;
  rotationX(angle: number): Float32Array; rotationZ(angle: number): Float32Array;
  rotateX(m: Float32Array, angle: number): Float32Array;
};
export function createProgramInfo(gl: WebGL2RenderingContext, shaders: string[]): any;
export function createBufferInfoFromArrays(gl: WebGL2RenderingContext, arrays: Record<string, any>): any;
export function setBuffersAndAttributes(gl: WebGL2RenderingContext, program: any, buffers: any): void;
export function setUniforms(program: any, uniforms: Record<string, any>): void;
export function drawBufferInfo(gl: WebGL2RenderingContext, buffers: any): void;
export function resizeCanvasToDisplaySize(canvas: HTMLCanvasElement, ratio: number): boolean;
